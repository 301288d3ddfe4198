-- Distinct patients beside counts and sums, by groups of which some are NULL, over a join, and of a subquery.
SELECT 'by diagnosis' AS part, substr(icd9_dgns_cd_2, 1, 1) AS grp, count(DISTINCT desynpuf_id) AS patients,
    count(*) AS n, count(icd9_dgns_cd_3) AS known, CAST(sum(clm_utlztn_day_cnt) AS BIGINT) AS days,
    min(clm_admsn_dt) AS first_day, max(clm_id) AS last_claim
FROM claims.inpatient
GROUP BY 2
UNION ALL
SELECT 'over a join', CAST(b.bene_sex_ident_cd AS VARCHAR), count(DISTINCT p.desynpuf_id), count(*), count(p.prod_srvc_id),
    CAST(sum(p.days_suply_num) AS BIGINT), min(p.srvc_dt), max(p.pde_id)
FROM claims.beneficiary b
LEFT JOIN claims.prescription p ON p.desynpuf_id = b.desynpuf_id AND p.srvc_dt >= DATE '2010-01-01'
WHERE b.bene_year = 2008
GROUP BY 2
UNION ALL
SELECT 'of a subquery', cost, count(DISTINCT person), count(*), count(day), CAST(NULL AS BIGINT), min(day), max(claim)
FROM (
    SELECT desynpuf_id AS person, clm_id AS claim, clm_from_dt AS day, CASE WHEN clm_pmt_amt > 1000 THEN 'costly' ELSE 'cheap' END AS cost
    FROM claims.outpatient
) AS visits
GROUP BY 2
