-- Dispensings ranked within their patient and within their day, joined with stays: windows, a join and a regrouping.
WITH ranked AS (
    SELECT
        desynpuf_id,
        srvc_dt,
        tot_rx_cst_amt,
        row_number() OVER (PARTITION BY desynpuf_id ORDER BY srvc_dt, pde_id) AS nth,
        count(*) OVER (PARTITION BY srvc_dt) AS on_the_day
    FROM claims.prescription
)
SELECT
    CAST(r.nth AS BIGINT) AS nth,
    count(*) AS dispensings,
    count(DISTINCT s.desynpuf_id) AS hospitalised,
    CAST(sum(r.on_the_day) AS BIGINT) AS on_those_days,
    CAST(sum(r.tot_rx_cst_amt) AS BIGINT) AS cost
FROM ranked r
LEFT JOIN claims.inpatient s ON s.desynpuf_id = r.desynpuf_id
GROUP BY r.nth
