-- Readmission within 30 days of going home, by main diagnosis, among stays of at least one night that ended between
-- January 2022 and November 2023. Sessions (GHM 28) are neither index stays nor readmissions.
WITH stays AS (
    SELECT
        ben_idt_ano,
        exe_soi_dtf,
        dgn_pal,
        sor_mod,
        sej_nbj,
        lead(exe_soi_dtd) OVER (PARTITION BY ben_idt_ano ORDER BY exe_soi_dtd, eta_num, rsa_num) AS next_entry
    FROM sejour_mco
    WHERE grg_ghm NOT LIKE '28%'
      AND nir_ret = '0' AND nai_ret = '0' AND sex_ret = '0' AND sej_ret = '0' AND dat_ret = '0'
)
SELECT
    substr(dgn_pal, 1, 3) AS diagnosis,
    count(*) AS stays,
    sum(CASE WHEN next_entry <= exe_soi_dtf + 30 THEN 1 ELSE 0 END) AS readmitted,
    round(1e2 * sum(CASE WHEN next_entry <= exe_soi_dtf + 30 THEN 1 ELSE 0 END) / count(*), 1) AS percent,
    round(avg(CAST(sej_nbj AS DOUBLE)), 1) AS mean_nights
FROM stays
WHERE exe_soi_dtf BETWEEN DATE '2022-01-01' AND DATE '2023-11-30'
  AND sor_mod = '8'
  AND sej_nbj > 0
GROUP BY substr(dgn_pal, 1, 3)
ORDER BY stays DESC, diagnosis
LIMIT 20
