-- Dispensings of other products in the ten days after each dispensing: a join of a table with itself within bounds.
SELECT
    a.desynpuf_id,
    a.pde_id,
    count(b.pde_id) AS others,
    min(b.srvc_dt) AS first_other,
    CAST(sum(b.days_suply_num) AS BIGINT) AS days_supplied
FROM claims.prescription a
LEFT JOIN claims.prescription b
    ON b.desynpuf_id = a.desynpuf_id
    AND b.srvc_dt > a.srvc_dt
    AND b.srvc_dt <= a.srvc_dt + INTERVAL '10' DAY
    AND b.prod_srvc_id <> a.prod_srvc_id
GROUP BY a.desynpuf_id, a.pde_id
