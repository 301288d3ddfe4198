-- Every visit ranked among those of its patient, and their running total.
SELECT count(*) AS n, CAST(sum(nth) AS BIGINT) AS ranks, CAST(sum(so_far) AS BIGINT) AS running
FROM (
    SELECT
        row_number() OVER (PARTITION BY patient ORDER BY day, note) AS nth,
        sum(amount) OVER (PARTITION BY patient ORDER BY day, note) AS so_far
    FROM big.visits
) AS w
