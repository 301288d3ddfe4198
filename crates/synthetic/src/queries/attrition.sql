-- Attrition of a cohort, step by step: adults; alive on 1 January 2023; dispensed an antihypertensive in 2022; no stay
-- for heart failure or infarction before 2023; seen by a physician in 2022; not registered for cancer.
WITH treated AS (
    SELECT DISTINCT ben_idt_ano
    FROM pharmacie
    WHERE (atc LIKE 'C07%' OR atc LIKE 'C08%' OR atc LIKE 'C09%')
      AND exe_soi_dtd BETWEEN DATE '2022-01-01' AND DATE '2022-12-31'
),
admitted AS (
    SELECT DISTINCT ben_idt_ano
    FROM sejour_mco
    WHERE (dgn_pal LIKE 'I50%' OR dgn_pal LIKE 'I21%')
      AND exe_soi_dtd < DATE '2023-01-01'
),
seen AS (
    SELECT DISTINCT ben_idt_ano
    FROM prestation
    WHERE prs_nat_ref IN (1111, 1112, 1211)
      AND dpn_qlf <> 71
      AND exe_soi_dtd BETWEEN DATE '2022-01-01' AND DATE '2022-12-31'
),
cancer AS (
    SELECT DISTINCT ben_idt_ano
    FROM ald
    WHERE med_mtf_cod LIKE 'C%'
      AND imb_ald_dtd < DATE '2023-01-01'
),
flagged AS (
    SELECT
        2023 - b.ben_nai_ann >= 18 AS adult,
        b.ben_dcd_dte IS NULL OR b.ben_dcd_dte >= DATE '2023-01-01' AS alive,
        t.ben_idt_ano IS NOT NULL AS treated,
        a.ben_idt_ano IS NULL AS free_of_event,
        s.ben_idt_ano IS NOT NULL AS seen,
        c.ben_idt_ano IS NULL AS free_of_cancer
    FROM beneficiaire AS b
    LEFT JOIN treated AS t ON t.ben_idt_ano = b.ben_idt_ano
    LEFT JOIN admitted AS a ON a.ben_idt_ano = b.ben_idt_ano
    LEFT JOIN seen AS s ON s.ben_idt_ano = b.ben_idt_ano
    LEFT JOIN cancer AS c ON c.ben_idt_ano = b.ben_idt_ano
)
SELECT
    count(*) AS everybody,
    sum(CASE WHEN adult THEN 1 ELSE 0 END) AS adults,
    sum(CASE WHEN adult AND alive THEN 1 ELSE 0 END) AS alive,
    sum(CASE WHEN adult AND alive AND treated THEN 1 ELSE 0 END) AS treated,
    sum(CASE WHEN adult AND alive AND treated AND free_of_event THEN 1 ELSE 0 END) AS free_of_event,
    sum(CASE WHEN adult AND alive AND treated AND free_of_event AND seen THEN 1 ELSE 0 END) AS seen,
    sum(CASE WHEN adult AND alive AND treated AND free_of_event AND seen AND free_of_cancer THEN 1 ELSE 0 END) AS cohort
FROM flagged
