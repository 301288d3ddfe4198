-- Two conditions on one table: large dispensings that were followed by one for a long time, by year.
WITH large AS (
    SELECT desynpuf_id, srvc_dt, pde_id
    FROM claims.prescription
    WHERE qty_dspnsd_num > 60
),
long AS (
    SELECT desynpuf_id, srvc_dt
    FROM claims.prescription
    WHERE days_suply_num > 30
)
SELECT
    CAST(EXTRACT(YEAR FROM large.srvc_dt) AS INTEGER) AS year,
    count(DISTINCT large.desynpuf_id) AS patients,
    count(DISTINCT large.pde_id) AS dispensings,
    min(long.srvc_dt - large.srvc_dt) AS soonest
FROM large
JOIN long ON long.desynpuf_id = large.desynpuf_id AND long.srvc_dt BETWEEN large.srvc_dt + 1 AND large.srvc_dt + 90
GROUP BY CAST(EXTRACT(YEAR FROM large.srvc_dt) AS INTEGER)
