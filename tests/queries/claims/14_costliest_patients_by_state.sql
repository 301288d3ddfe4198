-- The three patients with the highest drug cost in each state, ties broken by pseudonym.
WITH homes AS (
    SELECT desynpuf_id, max(sp_state_code) AS state FROM claims.beneficiary WHERE bene_year = 2009 GROUP BY desynpuf_id
), costs AS (
    SELECT desynpuf_id, CAST(sum(tot_rx_cst_amt) AS BIGINT) AS cost FROM claims.prescription GROUP BY desynpuf_id
), ranked AS (
    SELECT
        h.state,
        c.desynpuf_id,
        c.cost,
        row_number() OVER (PARTITION BY h.state ORDER BY c.cost DESC, c.desynpuf_id) AS place,
        dense_rank() OVER (PARTITION BY h.state ORDER BY c.cost DESC) AS level
    FROM costs c
    JOIN homes h ON h.desynpuf_id = c.desynpuf_id
)
SELECT state, CAST(place AS BIGINT) AS place, CAST(level AS BIGINT) AS level, desynpuf_id, cost
FROM ranked
WHERE place <= 3
