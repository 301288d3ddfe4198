-- Totals beside rows, grouped: a part of a union that is one row is computed once, however many tasks the others take.
SELECT part, count(*) AS lines, CAST(sum(n) AS BIGINT) AS n
FROM (
    SELECT 'stay' AS part, CAST(clm_utlztn_day_cnt AS BIGINT) AS n FROM claims.inpatient
    UNION ALL
    SELECT 'stays', count(*) FROM claims.inpatient
    UNION ALL
    SELECT 'patients', count(DISTINCT desynpuf_id) FROM claims.prescription
) AS parts
GROUP BY part
