-- Dispensings in the 30 days before a stay: a join of stays and dispensings with a condition on dates.
SELECT
    s.clm_id,
    s.icd9_dgns_cd_1 AS diagnosis,
    count(r.pde_id) AS dispensings,
    count(DISTINCT r.prod_srvc_id) AS products,
    min(r.srvc_dt) AS first_dispensing,
    CAST(sum(r.days_suply_num) AS BIGINT) AS days_supplied
FROM claims.inpatient s
LEFT JOIN claims.prescription r
    ON r.desynpuf_id = s.desynpuf_id
    AND r.srvc_dt < s.clm_admsn_dt
    AND r.srvc_dt >= s.clm_admsn_dt - INTERVAL '30' DAY
GROUP BY s.clm_id, s.icd9_dgns_cd_1
