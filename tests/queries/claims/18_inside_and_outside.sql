-- A full join: patients with claims inside, outside, or both.
WITH inside AS (
    SELECT desynpuf_id, count(*) AS stays FROM claims.inpatient GROUP BY desynpuf_id
), outside AS (
    SELECT desynpuf_id, count(*) AS visits FROM claims.outpatient GROUP BY desynpuf_id
)
SELECT
    coalesce(i.desynpuf_id, o.desynpuf_id) AS patient,
    i.stays,
    o.visits,
    coalesce(i.stays, 0) + coalesce(o.visits, 0) AS claims
FROM inside i
FULL OUTER JOIN outside o ON o.desynpuf_id = i.desynpuf_id
