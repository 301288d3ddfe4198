-- Town care by first diagnosis: rows that look like a pattern, text functions, and a limit without ties.
-- order: total
SELECT
    upper(substr(icd9_dgns_cd_1, 1, 3)) AS category,
    count(*) AS claims,
    count(DISTINCT desynpuf_id) AS patients,
    count(DISTINCT prf_physn_npi_1) AS physicians,
    CAST(sum(line_nch_pmt_amt_1 + line_nch_pmt_amt_2) AS BIGINT) AS paid,
    CAST(max(length(icd9_dgns_cd_1)) AS BIGINT) AS longest_code
FROM claims.carrier
WHERE icd9_dgns_cd_1 LIKE '4%' OR icd9_dgns_cd_1 LIKE 'V%'
GROUP BY 1
ORDER BY claims DESC, category
LIMIT 25
