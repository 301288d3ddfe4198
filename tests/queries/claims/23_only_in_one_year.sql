-- Products dispensed in 2008 and never in 2009, and patients seen in both years.
SELECT 'product' AS what, count(*) AS found FROM (
    SELECT prod_srvc_id FROM claims.prescription WHERE srvc_dt < DATE '2009-01-01'
    EXCEPT
    SELECT prod_srvc_id FROM claims.prescription WHERE srvc_dt >= DATE '2009-01-01'
) AS gone
UNION ALL
SELECT 'patient', count(*) FROM (
    SELECT desynpuf_id FROM claims.prescription WHERE srvc_dt < DATE '2009-01-01'
    INTERSECT
    SELECT desynpuf_id FROM claims.prescription WHERE srvc_dt >= DATE '2009-01-01'
) AS both_years
