-- Wide features: a row per patient of what 2022 held in every table, then what set those apart who were admitted in
-- 2023 from the others, by age.
WITH drugs AS (
    SELECT
        ben_idt_ano,
        count(*) AS dispensings,
        count(DISTINCT substr(atc, 1, 5)) AS classes,
        sum(CASE WHEN atc LIKE 'N%' THEN 1 ELSE 0 END) AS psychotropic,
        sum(CASE WHEN atc LIKE 'J01%' THEN 1 ELSE 0 END) AS antibiotic
    FROM pharmacie
    WHERE exe_soi_dtd BETWEEN DATE '2022-01-01' AND DATE '2022-12-31'
    GROUP BY ben_idt_ano
),
care AS (
    SELECT
        ben_idt_ano,
        sum(CASE WHEN prs_nat_ref IN (1111, 1211) THEN 1 ELSE 0 END) AS general_practice,
        sum(CASE WHEN prs_nat_ref = 1112 THEN 1 ELSE 0 END) AS specialists,
        sum(CASE WHEN prs_nat_ref = 3112 THEN prs_act_qte ELSE 0 END) AS nursing,
        sum(CAST(bse_rem_mnt AS DOUBLE)) AS euros
    FROM prestation
    WHERE exe_soi_dtd BETWEEN DATE '2022-01-01' AND DATE '2022-12-31'
      AND dpn_qlf <> 71
    GROUP BY ben_idt_ano
),
acts AS (
    SELECT ben_idt_ano, count(*) AS acts
    FROM acte_ccam
    WHERE exe_soi_dtd BETWEEN DATE '2022-01-01' AND DATE '2022-12-31'
    GROUP BY ben_idt_ano
),
stays AS (
    SELECT
        ben_idt_ano,
        sum(CASE WHEN exe_soi_dtd < DATE '2023-01-01' THEN 1 ELSE 0 END) AS stays,
        sum(CASE WHEN exe_soi_dtd < DATE '2023-01-01' THEN sej_nbj ELSE 0 END) AS nights,
        max(CASE WHEN exe_soi_dtd >= DATE '2023-01-01' THEN 1 ELSE 0 END) AS admitted
    FROM sejour_mco
    WHERE exe_soi_dtd BETWEEN DATE '2022-01-01' AND DATE '2023-12-31'
      AND grg_ghm NOT LIKE '28%'
    GROUP BY ben_idt_ano
),
registered AS (
    SELECT ben_idt_ano, count(*) AS illnesses
    FROM ald
    WHERE imb_ald_dtd < DATE '2023-01-01'
    GROUP BY ben_idt_ano
),
wide AS (
    SELECT
        CASE
            WHEN 2022 - b.ben_nai_ann < 18 THEN '00-17'
            WHEN 2022 - b.ben_nai_ann < 45 THEN '18-44'
            WHEN 2022 - b.ben_nai_ann < 65 THEN '45-64'
            WHEN 2022 - b.ben_nai_ann < 80 THEN '65-79'
            ELSE '80+'
        END AS age_band,
        coalesce(s.admitted, 0) AS admitted,
        coalesce(d.dispensings, 0) AS dispensings,
        coalesce(d.classes, 0) AS classes,
        coalesce(d.psychotropic, 0) AS psychotropic,
        coalesce(d.antibiotic, 0) AS antibiotic,
        coalesce(c.general_practice, 0) AS general_practice,
        coalesce(c.specialists, 0) AS specialists,
        coalesce(c.nursing, 0) AS nursing,
        coalesce(c.euros, 0e0) AS euros,
        coalesce(a.acts, 0) AS acts,
        coalesce(s.stays, 0) AS stays,
        coalesce(s.nights, 0) AS nights,
        coalesce(r.illnesses, 0) AS illnesses
    FROM beneficiaire AS b
    LEFT JOIN drugs AS d ON d.ben_idt_ano = b.ben_idt_ano
    LEFT JOIN care AS c ON c.ben_idt_ano = b.ben_idt_ano
    LEFT JOIN acts AS a ON a.ben_idt_ano = b.ben_idt_ano
    LEFT JOIN stays AS s ON s.ben_idt_ano = b.ben_idt_ano
    LEFT JOIN registered AS r ON r.ben_idt_ano = b.ben_idt_ano
    WHERE b.ben_nai_ann <= 2022
      AND (b.ben_dcd_dte IS NULL OR b.ben_dcd_dte >= DATE '2023-01-01')
)
SELECT
    age_band,
    admitted,
    count(*) AS patients,
    avg(CAST(dispensings AS DOUBLE)) AS dispensings,
    avg(CAST(classes AS DOUBLE)) AS classes,
    avg(CAST(psychotropic AS DOUBLE)) AS psychotropic,
    avg(CAST(antibiotic AS DOUBLE)) AS antibiotic,
    avg(CAST(general_practice AS DOUBLE)) AS general_practice,
    avg(CAST(specialists AS DOUBLE)) AS specialists,
    avg(CAST(nursing AS DOUBLE)) AS nursing,
    avg(euros) AS euros,
    avg(CAST(acts AS DOUBLE)) AS acts,
    avg(CAST(stays AS DOUBLE)) AS stays,
    avg(CAST(nights AS DOUBLE)) AS nights,
    avg(CAST(illnesses AS DOUBLE)) AS illnesses
FROM wide
GROUP BY age_band, admitted
ORDER BY age_band, admitted
