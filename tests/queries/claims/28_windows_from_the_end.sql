-- Each dispensing beside the next and the last but one, seen from the end; what windows say beside their names (FILTER,
-- IGNORE NULLS, a direction against the order in which rows lie) must reach the executors.
WITH dispensed AS (
    SELECT
        desynpuf_id,
        pde_id,
        srvc_dt,
        CASE WHEN qty_dspnsd_num > 30 THEN qty_dspnsd_num END AS large,
        days_suply_num
    FROM claims.prescription
)
SELECT
    desynpuf_id,
    pde_id,
    lag(srvc_dt) OVER (PARTITION BY desynpuf_id ORDER BY srvc_dt DESC, pde_id DESC) AS next_date,
    lead(srvc_dt, 2) OVER (PARTITION BY desynpuf_id ORDER BY srvc_dt DESC, pde_id DESC) AS two_before,
    row_number() OVER (PARTITION BY desynpuf_id ORDER BY srvc_dt DESC, pde_id DESC) AS from_the_end,
    CAST(lag(large IGNORE NULLS) OVER (PARTITION BY desynpuf_id ORDER BY srvc_dt, pde_id) AS BIGINT) AS last_large,
    count(*) FILTER (WHERE days_suply_num > 30) OVER (PARTITION BY desynpuf_id) AS long_supplies,
    count(*) FILTER (WHERE days_suply_num > 30) OVER (PARTITION BY desynpuf_id ORDER BY srvc_dt, pde_id) AS so_far
FROM dispensed
