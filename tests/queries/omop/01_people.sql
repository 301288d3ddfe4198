-- People by year of birth and sex, with their observation time.
-- order: total
SELECT
    p.year_of_birth,
    p.gender_source_value AS sex,
    count(*) AS people,
    min(o.observation_period_start_date) AS first_seen,
    max(o.observation_period_end_date) AS last_seen
FROM omop.person p
JOIN omop.observation_period o ON o.person_id = p.person_id
GROUP BY p.year_of_birth, p.gender_source_value
ORDER BY p.year_of_birth, sex
