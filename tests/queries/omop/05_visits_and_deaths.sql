-- Visits of the last year before a death, and everyone without a death once.
SELECT
    p.person_id,
    d.death_date,
    count(v.visit_occurrence_id) AS visits,
    max(v.visit_end_datetime) AS last_visit
FROM omop.person p
LEFT JOIN omop.death d ON d.person_id = p.person_id
LEFT JOIN omop.visit_occurrence v
    ON v.person_id = p.person_id AND v.visit_start_date >= d.death_date - INTERVAL '365' DAY
GROUP BY p.person_id, d.death_date
