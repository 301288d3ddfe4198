-- Means and spreads, which come as floating-point numbers.
SELECT
    s.clm_drg_cd AS drg,
    count(*) AS stays,
    avg(CAST(s.clm_pmt_amt AS DOUBLE)) AS mean_payment,
    stddev(CAST(s.clm_pmt_amt AS DOUBLE)) AS spread,
    avg(CAST(s.clm_pmt_amt AS DOUBLE)) / (SELECT avg(CAST(clm_pmt_amt AS DOUBLE)) FROM claims.inpatient) AS relative
FROM claims.inpatient s
GROUP BY s.clm_drg_cd
