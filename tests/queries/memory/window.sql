-- Every visit ranked among those of its code, which lie with many patients.
SELECT count(*) AS n, CAST(sum(nth * amount) AS BIGINT) AS weight, max(before) AS last_before
FROM (
    SELECT
        amount,
        row_number() OVER (PARTITION BY code ORDER BY note) AS nth,
        lag(note) OVER (PARTITION BY code ORDER BY note) AS before
    FROM big.visits
) AS w
