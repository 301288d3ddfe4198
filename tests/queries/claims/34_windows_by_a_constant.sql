-- A window by a column that is the same in all rows, over distinct rows.
SELECT kind, count(*) AS people, count(dispensed) AS matched, CAST(sum(days) AS BIGINT) AS days
FROM (
    SELECT r.desynpuf_id, l.day AS dispensed, r.kind, CAST(r.day - l.day AS BIGINT) AS days
    FROM (
        SELECT
            desynpuf_id,
            day,
            kind,
            CAST(sum(supply) OVER (PARTITION BY desynpuf_id, kind ORDER BY day, kind, supply, desynpuf_id) AS BIGINT) AS supply
        FROM (
            SELECT DISTINCT desynpuf_id, srvc_dt AS day, 'x' AS kind, CAST(days_suply_num AS BIGINT) AS supply
            FROM claims.prescription
        ) AS days
    ) AS l
    RIGHT JOIN (
        SELECT
            desynpuf_id,
            max(clm_admsn_dt) AS day,
            min(substr(icd9_dgns_cd_1, 1, 1)) AS kind,
            10 * count(DISTINCT substr(icd9_dgns_cd_1, 1, 1)) AS supply
        FROM claims.inpatient
        GROUP BY desynpuf_id
    ) AS r
        ON l.desynpuf_id = r.desynpuf_id AND l.supply = r.supply AND l.kind <> r.kind
) AS pairs
GROUP BY kind
