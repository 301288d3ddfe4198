-- New users of statins in 2023, by month of the first dispensing: none in the 365 days before, and a year of history.
WITH dispensed AS (
    SELECT ben_idt_ano, exe_soi_dtd
    FROM pharmacie
    WHERE atc LIKE 'C10AA%'
),
first_of_year AS (
    SELECT ben_idt_ano, min(exe_soi_dtd) AS index_date
    FROM dispensed
    WHERE exe_soi_dtd BETWEEN DATE '2023-01-01' AND DATE '2023-12-31'
    GROUP BY ben_idt_ano
),
new_users AS (
    SELECT f.ben_idt_ano, f.index_date
    FROM first_of_year AS f
    WHERE NOT EXISTS (
        SELECT 1
        FROM dispensed AS d
        WHERE d.ben_idt_ano = f.ben_idt_ano
          AND d.exe_soi_dtd >= f.index_date - 365
          AND d.exe_soi_dtd < f.index_date
    )
)
SELECT
    CAST(EXTRACT(MONTH FROM n.index_date) AS INTEGER) AS month,
    count(*) AS new_users,
    sum(CASE WHEN b.ben_sex_cod = 2 THEN 1 ELSE 0 END) AS women,
    round(avg(CAST(2023 - b.ben_nai_ann AS DOUBLE)), 1) AS mean_age
FROM new_users AS n
JOIN beneficiaire AS b ON b.ben_idt_ano = n.ben_idt_ano
WHERE b.ben_nai_ann < 2022
GROUP BY CAST(EXTRACT(MONTH FROM n.index_date) AS INTEGER)
ORDER BY month
