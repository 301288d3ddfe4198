-- Treated diabetes in 2023, by département: three dispensings of A10 on different days, or two with a large pack.
WITH treated AS (
    SELECT ben_idt_ano
    FROM pharmacie
    WHERE atc LIKE 'A10%'
      AND exe_soi_dtd BETWEEN DATE '2023-01-01' AND DATE '2023-12-31'
    GROUP BY ben_idt_ano
    HAVING count(DISTINCT exe_soi_dtd) >= 3
        OR (count(DISTINCT exe_soi_dtd) = 2 AND bool_or(large_pack))
),
counted AS (
    SELECT b.ben_res_dpt, count(*) AS persons, count(t.ben_idt_ano) AS treated
    FROM beneficiaire AS b
    LEFT JOIN treated AS t ON t.ben_idt_ano = b.ben_idt_ano
    WHERE b.ben_nai_ann < 2023
      AND (b.ben_dcd_dte IS NULL OR b.ben_dcd_dte >= DATE '2023-01-01')
    GROUP BY b.ben_res_dpt
),
-- Wilson's interval, which holds for small départements too.
measured AS (
    SELECT
        ben_res_dpt,
        persons,
        treated,
        1e0 * treated / persons AS share,
        (1e0 * treated / persons + 1.9208e0 / persons) / (1e0 + 3.8416e0 / persons) AS centre,
        1.96e0 * sqrt((1e0 * treated / persons * (1e0 - 1e0 * treated / persons) + 0.9604e0 / persons) / persons)
            / (1e0 + 3.8416e0 / persons) AS half_width
    FROM counted
)
SELECT
    ben_res_dpt AS departement,
    persons,
    treated,
    round(1e2 * share, 2) AS percent,
    round(1e2 * (centre - half_width), 2) AS percent_low,
    round(1e2 * (centre + half_width), 2) AS percent_high
FROM measured
ORDER BY departement
