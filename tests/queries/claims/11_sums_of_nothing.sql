-- Aggregates over no rows: counts are zero, the others unknown.
SELECT
    count(*) AS stays,
    count(DISTINCT desynpuf_id) AS patients,
    CAST(sum(clm_pmt_amt) AS BIGINT) AS paid,
    avg(CAST(clm_utlztn_day_cnt AS DOUBLE)) AS mean_days,
    min(clm_admsn_dt) AS first_admission,
    max(clm_drg_cd) AS last_group
FROM claims.inpatient
WHERE clm_admsn_dt > nch_bene_dschrg_dt
