-- Drug cost of 2008 by chronic condition, each patient counted under every condition flagged for the year.
-- order: total
WITH conditions AS (
    SELECT desynpuf_id, 'diabetes' AS condition FROM claims.beneficiary
    WHERE bene_year = 2008 AND CAST(sp_diabetes AS VARCHAR) = '1'
    UNION ALL
    SELECT desynpuf_id, 'heart failure' FROM claims.beneficiary
    WHERE bene_year = 2008 AND CAST(sp_chf AS VARCHAR) = '1'
    UNION ALL
    SELECT desynpuf_id, 'depression' FROM claims.beneficiary
    WHERE bene_year = 2008 AND CAST(sp_depressn AS VARCHAR) = '1'
)
SELECT
    c.condition,
    count(DISTINCT c.desynpuf_id) AS patients,
    count(r.pde_id) AS dispensings,
    CAST(coalesce(sum(r.tot_rx_cst_amt), 0) AS BIGINT) AS cost
FROM conditions c
LEFT JOIN claims.prescription r
    ON r.desynpuf_id = c.desynpuf_id AND r.srvc_dt BETWEEN DATE '2008-01-01' AND DATE '2008-12-31'
GROUP BY c.condition
ORDER BY c.condition
