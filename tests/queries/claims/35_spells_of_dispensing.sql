-- Spells of one product in a row, told apart by the difference of two ranks, which may be negative; how many dispensings on the
-- next but one is.
SELECT difference, count(*) AS dispensings, CAST(sum(ahead) AS BIGINT) AS ahead
FROM (
    SELECT
        place - nth AS difference,
        lead(place, 2, -1) OVER (PARTITION BY desynpuf_id, prod_srvc_id ORDER BY srvc_dt, pde_id) AS ahead
    FROM (
        SELECT
            desynpuf_id,
            prod_srvc_id,
            srvc_dt,
            pde_id,
            dense_rank() OVER (PARTITION BY desynpuf_id ORDER BY srvc_dt) AS place,
            row_number() OVER (PARTITION BY desynpuf_id ORDER BY srvc_dt, pde_id) AS nth
        FROM claims.prescription
    ) AS ranked
) AS spells
GROUP BY difference
