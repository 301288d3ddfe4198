-- Conditions by their concept's name: a broadcast of the nomenclature.
SELECT
    c.concept_name,
    c.vocabulary_id,
    count(*) AS occurrences,
    count(DISTINCT o.person_id) AS people,
    count(o.condition_end_date) AS ended
FROM omop.condition_occurrence o
JOIN omop.concept c ON c.concept_id = o.condition_concept_id
GROUP BY c.concept_name, c.vocabulary_id
