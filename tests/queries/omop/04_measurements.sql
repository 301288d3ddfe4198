-- Measurements by concept: exact decimals, NULL values left out by the aggregates.
SELECT
    m.measurement_concept_id,
    m.unit_source_value,
    count(*) AS measurements,
    count(m.value_as_number) AS valued,
    min(m.value_as_number) AS lowest,
    max(m.value_as_number) AS highest,
    avg(CAST(m.value_as_number AS DOUBLE)) AS mean
FROM omop.measurement m
GROUP BY m.measurement_concept_id, m.unit_source_value
