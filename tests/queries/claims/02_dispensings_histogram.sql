-- How many patients had how many dispensings, patients without any included.
-- order: total
WITH patients AS (
    SELECT DISTINCT desynpuf_id FROM claims.beneficiary
), per_patient AS (
    SELECT p.desynpuf_id, count(r.pde_id) AS dispensings
    FROM patients p
    LEFT JOIN claims.prescription r ON r.desynpuf_id = p.desynpuf_id
    GROUP BY p.desynpuf_id
)
SELECT dispensings, count(*) AS patients
FROM per_patient
GROUP BY dispensings
ORDER BY dispensings
