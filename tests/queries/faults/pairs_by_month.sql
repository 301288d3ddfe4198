-- Pairs of dispensings in the same month, by patient: millions of rows through several stages, for a kill to fall into.
SELECT
    a.desynpuf_id,
    count(*) AS pairs,
    count(DISTINCT b.desynpuf_id) AS others,
    CAST(sum(a.qty_dspnsd_num * b.days_suply_num) AS BIGINT) AS weight,
    max(b.prod_srvc_id) AS last_product
FROM claims.prescription a
JOIN claims.prescription b
    ON extract(month FROM a.srvc_dt) = extract(month FROM b.srvc_dt)
    AND a.desynpuf_id <> b.desynpuf_id
GROUP BY a.desynpuf_id
