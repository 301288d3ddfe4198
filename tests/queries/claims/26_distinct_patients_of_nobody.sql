-- Distinct patients beside a count and a sum where there is no row: 0, 0 and NULL.
SELECT count(DISTINCT desynpuf_id) AS patients, count(*) AS n, count(icd9_dgns_cd_3) AS known,
    CAST(sum(clm_utlztn_day_cnt) AS BIGINT) AS days, min(clm_admsn_dt) AS first_day
FROM claims.inpatient
WHERE clm_id = 'none'
