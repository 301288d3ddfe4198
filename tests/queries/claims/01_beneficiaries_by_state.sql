-- How many beneficiaries each state had each year, women among them, and their mean age at the year's end.
-- order: total
SELECT
    bene_year,
    sp_state_code AS state,
    count(DISTINCT desynpuf_id) AS beneficiaries,
    count(DISTINCT CASE WHEN CAST(bene_sex_ident_cd AS VARCHAR) = '2' THEN desynpuf_id END) AS women,
    avg(CAST(bene_year - extract(year FROM bene_birth_dt) AS DOUBLE)) AS mean_age
FROM claims.beneficiary
GROUP BY bene_year, sp_state_code
ORDER BY bene_year, state
