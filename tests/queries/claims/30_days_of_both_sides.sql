-- Stays and dispensings of a patient by the days of both, where several dispensings are of one day: what a join declares of
-- the order of its rows must hold where it is relied on.
SELECT
    desynpuf_id,
    srvc_dt,
    clm_admsn_dt,
    count(*) AS pairs,
    max(place) AS last_place
FROM (
    SELECT
        r.desynpuf_id,
        r.srvc_dt,
        s.clm_admsn_dt,
        dense_rank() OVER (PARTITION BY r.desynpuf_id ORDER BY r.srvc_dt, s.clm_admsn_dt) AS place
    FROM claims.prescription r
    JOIN claims.inpatient s ON s.desynpuf_id = r.desynpuf_id
) AS both_sides
GROUP BY desynpuf_id, srvc_dt, clm_admsn_dt
