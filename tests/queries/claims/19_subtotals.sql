-- Subtotals by year and sex, and the total.
SELECT
    bene_year,
    bene_sex_ident_cd AS sex,
    count(*) AS people,
    CAST(sum(medreimb_ip) AS BIGINT) AS reimbursed,
    count(bene_death_dt) AS deaths
FROM claims.beneficiary
GROUP BY ROLLUP (bene_year, bene_sex_ident_cd)
