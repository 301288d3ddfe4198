-- Beneficiaries, dispensings and stays together: hospitalised and treated patients by state, with days and cost.
-- order: total
WITH drugs AS (
    SELECT desynpuf_id, count(*) AS dispensings, CAST(sum(tot_rx_cst_amt) AS BIGINT) AS cost
    FROM claims.prescription
    GROUP BY desynpuf_id
), stays AS (
    SELECT desynpuf_id, count(*) AS stays, CAST(sum(clm_utlztn_day_cnt) AS BIGINT) AS days
    FROM claims.inpatient
    GROUP BY desynpuf_id
)
SELECT
    b.sp_state_code AS state,
    count(*) AS patients,
    CAST(sum(d.dispensings) AS BIGINT) AS dispensings,
    CAST(sum(d.cost) AS BIGINT) AS cost,
    CAST(sum(s.stays) AS BIGINT) AS stays,
    CAST(sum(s.days) AS BIGINT) AS days
FROM claims.beneficiary b
JOIN drugs d ON d.desynpuf_id = b.desynpuf_id
JOIN stays s ON s.desynpuf_id = b.desynpuf_id
WHERE b.bene_year = 2008
GROUP BY b.sp_state_code
HAVING count(*) >= 2
ORDER BY patients DESC, state
