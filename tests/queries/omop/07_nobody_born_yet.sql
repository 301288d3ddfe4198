-- Nobody: the columns and their types come all the same.
SELECT d.drug_exposure_id, d.quantity, d.drug_exposure_end_datetime, p.year_of_birth
FROM omop.drug_exposure d
JOIN omop.person p ON p.person_id = d.person_id
WHERE p.year_of_birth > 2100
