-- A comorbidity score in the manner of Charlson: weights of the diseases coded in stays of any year (main and
-- associated diagnoses) or registered as long-term illnesses, summed over each patient's distinct diseases.
WITH coded AS (
    SELECT ben_idt_ano, dgn_pal AS code FROM sejour_mco
    UNION ALL
    SELECT ben_idt_ano, ass_dgn AS code FROM diag_associe
    UNION ALL
    SELECT ben_idt_ano, med_mtf_cod AS code FROM ald
),
weighted AS (
    SELECT
        ben_idt_ano,
        CASE
            WHEN code LIKE 'I21%' OR code LIKE 'I25%' THEN 'coronary disease'
            WHEN code LIKE 'I50%' THEN 'heart failure'
            WHEN code LIKE 'I63%' OR code LIKE 'I69%' THEN 'stroke'
            WHEN code LIKE 'G30%' OR code LIKE 'F00%' THEN 'dementia'
            WHEN code LIKE 'J44%' OR code LIKE 'J45%' THEN 'lung disease'
            WHEN code LIKE 'M05%' OR code LIKE 'M06%' THEN 'rheumatic disease'
            WHEN code LIKE 'E11%' THEN 'diabetes'
            WHEN code LIKE 'N18%' THEN 'kidney disease'
            WHEN code LIKE 'K70%' OR code LIKE 'K74%' THEN 'liver disease'
            WHEN code LIKE 'C78%' OR code LIKE 'C79%' THEN 'metastases'
            WHEN code LIKE 'C%' THEN 'cancer'
        END AS disease,
        CASE
            WHEN code LIKE 'C78%' OR code LIKE 'C79%' THEN 6
            WHEN code LIKE 'C%' OR code LIKE 'N18%' OR code LIKE 'K70%' OR code LIKE 'K74%' THEN 2
            ELSE 1
        END AS weight
    FROM coded
),
scored AS (
    SELECT ben_idt_ano, sum(weight) AS score
    FROM (SELECT DISTINCT ben_idt_ano, disease, weight FROM weighted WHERE disease IS NOT NULL) AS diseases
    GROUP BY ben_idt_ano
)
SELECT
    least(coalesce(s.score, 0), 10) AS score,
    count(*) AS patients,
    round(avg(CAST(2023 - b.ben_nai_ann AS DOUBLE)), 1) AS mean_age,
    sum(CASE WHEN b.ben_dcd_dte IS NOT NULL THEN 1 ELSE 0 END) AS deaths
FROM beneficiaire AS b
LEFT JOIN scored AS s ON s.ben_idt_ano = b.ben_idt_ano
GROUP BY least(coalesce(s.score, 0), 10)
ORDER BY score
