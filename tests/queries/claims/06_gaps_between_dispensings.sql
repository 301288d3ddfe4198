-- Each dispensing with the one before and after it, the running quantity, and whether it came after the supply of the
-- one before had run out.
WITH runs AS (
    SELECT
        desynpuf_id,
        pde_id,
        srvc_dt,
        lag(srvc_dt) OVER w AS before,
        lead(srvc_dt) OVER w AS after,
        lag(days_suply_num) OVER w AS supply_before,
        CAST(sum(qty_dspnsd_num) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS quantity_so_far
    FROM claims.prescription
    WINDOW w AS (PARTITION BY desynpuf_id ORDER BY srvc_dt, pde_id)
)
SELECT
    desynpuf_id,
    pde_id,
    before,
    after,
    quantity_so_far,
    CAST(srvc_dt - before AS BIGINT) AS days_since,
    CAST(srvc_dt - before AS BIGINT) > supply_before AS ran_out
FROM runs
