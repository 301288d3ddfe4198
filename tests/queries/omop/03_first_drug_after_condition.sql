-- The first drug of each person on or after each condition's start, windows over a join on dates.
WITH pairs AS (
    SELECT
        o.person_id,
        o.condition_occurrence_id,
        o.condition_start_date,
        d.drug_exposure_id,
        d.drug_exposure_start_datetime,
        row_number() OVER (
            PARTITION BY o.condition_occurrence_id ORDER BY d.drug_exposure_start_datetime, d.drug_exposure_id
        ) AS place
    FROM omop.condition_occurrence o
    JOIN omop.drug_exposure d
        ON d.person_id = o.person_id AND d.drug_exposure_start_date >= o.condition_start_date
)
SELECT person_id, condition_occurrence_id, condition_start_date, drug_exposure_id, drug_exposure_start_datetime
FROM pairs
WHERE place = 1
