-- Each patient's first stay, with the date of death where there is one, and whether it came within a year.
-- order: total
WITH first_stay AS (
    SELECT desynpuf_id, min(clm_admsn_dt) AS admitted, max(nch_bene_dschrg_dt) AS last_discharge, count(*) AS stays
    FROM claims.inpatient
    GROUP BY desynpuf_id
), deaths AS (
    SELECT desynpuf_id, max(bene_death_dt) AS died FROM claims.beneficiary GROUP BY desynpuf_id
)
SELECT
    s.desynpuf_id,
    s.admitted,
    s.last_discharge,
    s.stays,
    d.died,
    d.died <= s.admitted + INTERVAL '365' DAY AS within_a_year
FROM first_stay s
JOIN deaths d ON d.desynpuf_id = s.desynpuf_id
ORDER BY d.died DESC NULLS LAST, s.admitted, s.desynpuf_id
