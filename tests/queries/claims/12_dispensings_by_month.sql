-- Dispensings, patients and cost by month, and the running cost of the year.
-- order: total
WITH months AS (
    SELECT
        CAST(date_trunc('month', srvc_dt) AS DATE) AS month,
        count(*) AS dispensings,
        count(DISTINCT desynpuf_id) AS patients,
        CAST(sum(tot_rx_cst_amt) AS BIGINT) AS cost
    FROM claims.prescription
    GROUP BY 1
)
SELECT
    month,
    dispensings,
    patients,
    cost,
    CAST(sum(cost) OVER (PARTITION BY extract(year FROM month) ORDER BY month) AS BIGINT) AS cost_of_year_so_far
FROM months
ORDER BY month
