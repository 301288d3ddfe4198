-- Every contact with care of each patient, four tables stacked, by patient.
WITH contacts AS (
    SELECT desynpuf_id, 'town' AS kind, clm_from_dt AS day FROM claims.carrier
    UNION ALL
    SELECT desynpuf_id, 'outpatient', clm_from_dt FROM claims.outpatient
    UNION ALL
    SELECT desynpuf_id, 'stay', clm_admsn_dt FROM claims.inpatient
    UNION ALL
    SELECT desynpuf_id, 'pharmacy', srvc_dt FROM claims.prescription
)
SELECT
    desynpuf_id,
    count(*) AS contacts,
    count(DISTINCT day) AS days,
    count(*) FILTER (WHERE kind = 'town') AS town,
    count(*) FILTER (WHERE kind = 'stay') AS stays,
    min(day) AS first_day,
    max(day) AS last_day
FROM contacts
GROUP BY desynpuf_id
