-- For Spark, whose difference of two dates is an interval: survival.sql with datediff.
-- Survival after the first stay of 2022 for one of six diagnoses: deaths within 30, 90 and 365 days of admission.
-- Everybody is followed for the whole year, because deaths are known until the end of 2023.
WITH stays AS (
    SELECT
        ben_idt_ano,
        exe_soi_dtd,
        CASE substr(dgn_pal, 1, 3)
            WHEN 'I21' THEN 'myocardial infarction'
            WHEN 'I50' THEN 'heart failure'
            WHEN 'I63' THEN 'ischaemic stroke'
            WHEN 'J18' THEN 'pneumonia'
            WHEN 'J44' THEN 'COPD'
            WHEN 'S72' THEN 'hip fracture'
        END AS reason
    FROM sejour_mco
    WHERE exe_soi_dtd BETWEEN DATE '2022-01-01' AND DATE '2022-12-31'
      AND nir_ret = '0' AND nai_ret = '0' AND sex_ret = '0' AND sej_ret = '0' AND dat_ret = '0'
),
index_stay AS (
    SELECT ben_idt_ano, reason, min(exe_soi_dtd) AS admitted
    FROM stays
    WHERE reason IS NOT NULL
    GROUP BY ben_idt_ano, reason
),
followed AS (
    SELECT i.reason, 2022 - b.ben_nai_ann AS age, datediff(b.ben_dcd_dte, i.admitted) AS days_to_death
    FROM index_stay AS i
    JOIN beneficiaire AS b ON b.ben_idt_ano = i.ben_idt_ano
)
SELECT
    reason,
    count(*) AS patients,
    round(avg(CAST(age AS DOUBLE)), 1) AS mean_age,
    sum(CASE WHEN days_to_death <= 30 THEN 1 ELSE 0 END) AS deaths_30,
    sum(CASE WHEN days_to_death <= 90 THEN 1 ELSE 0 END) AS deaths_90,
    sum(CASE WHEN days_to_death <= 365 THEN 1 ELSE 0 END) AS deaths_365,
    round(1e2 - 1e2 * sum(CASE WHEN days_to_death <= 30 THEN 1 ELSE 0 END) / count(*), 1) AS alive_30,
    round(1e2 - 1e2 * sum(CASE WHEN days_to_death <= 90 THEN 1 ELSE 0 END) / count(*), 1) AS alive_90,
    round(1e2 - 1e2 * sum(CASE WHEN days_to_death <= 365 THEN 1 ELSE 0 END) / count(*), 1) AS alive_365
FROM followed
GROUP BY reason
ORDER BY reason
