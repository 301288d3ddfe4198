-- Treatment sequences: the first three classes of glucose-lowering drugs (ATC level 4) in the order in which a patient
-- was first dispensed them.
WITH first_use AS (
    SELECT ben_idt_ano, substr(atc, 1, 5) AS class, min(exe_soi_dtd) AS first_date
    FROM pharmacie
    WHERE atc LIKE 'A10%'
    GROUP BY ben_idt_ano, substr(atc, 1, 5)
),
ranked AS (
    SELECT
        ben_idt_ano,
        class,
        row_number() OVER (PARTITION BY ben_idt_ano ORDER BY first_date, class) AS line
    FROM first_use
),
sequence AS (
    SELECT
        ben_idt_ano,
        max(CASE WHEN line = 1 THEN class END) AS first_class,
        coalesce(max(CASE WHEN line = 2 THEN class END), '-') AS second_class,
        coalesce(max(CASE WHEN line = 3 THEN class END), '-') AS third_class
    FROM ranked
    GROUP BY ben_idt_ano
)
SELECT first_class, second_class, third_class, count(*) AS patients
FROM sequence
GROUP BY first_class, second_class, third_class
ORDER BY patients DESC, first_class, second_class, third_class
