-- A window over a join of rows without any day, of which none is left: planning after a stage breaks down in the engine, and
-- the query is planned otherwise.
SELECT count(*) AS people, count(DISTINCT grp) AS groups, CAST(sum(place) AS BIGINT) AS places
FROM (
    SELECT
        r.desynpuf_id,
        l.day,
        r.grp,
        dense_rank() OVER (PARTITION BY r.desynpuf_id ORDER BY l.day NULLS LAST, r.day NULLS LAST) AS place
    FROM (
        SELECT desynpuf_id, CAST(NULL AS DATE) AS day, sp_state_code AS grp FROM claims.beneficiary
    ) AS l
    RIGHT JOIN (
        SELECT desynpuf_id, CAST(NULL AS DATE) AS day, sp_state_code AS grp FROM claims.beneficiary
    ) AS r
        ON l.desynpuf_id = r.desynpuf_id AND l.day >= r.day - 30 AND r.grp <> l.grp
) AS ranked
WHERE EXISTS (SELECT 1 FROM claims.beneficiary AS b WHERE b.desynpuf_id = ranked.desynpuf_id AND b.sp_state_code = ranked.grp)
    AND EXTRACT(YEAR FROM day) = 2008
