-- New users of each labeler's products in 2009: no dispensing of the same labeler in the 180 days before the first one
-- of the year, counted by month of that first dispensing.
WITH uses AS (
    SELECT desynpuf_id, substr(prod_srvc_id, 1, 5) AS labeler, srvc_dt FROM claims.prescription
), firsts AS (
    SELECT desynpuf_id, labeler, min(srvc_dt) AS index_date
    FROM uses
    WHERE srvc_dt >= DATE '2009-01-01'
    GROUP BY desynpuf_id, labeler
)
SELECT
    f.labeler,
    CAST(extract(month FROM f.index_date) AS BIGINT) AS month,
    count(*) AS new_users
FROM firsts f
WHERE NOT EXISTS (
    SELECT 1 FROM uses u
    WHERE u.desynpuf_id = f.desynpuf_id
      AND u.labeler = f.labeler
      AND u.srvc_dt < f.index_date
      AND u.srvc_dt >= f.index_date - INTERVAL '180' DAY
)
GROUP BY f.labeler, extract(month FROM f.index_date)
