-- Stays that begin within 30 days after the discharge from the patient's stay before, with both dates.
WITH ordered AS (
    SELECT
        desynpuf_id,
        clm_id,
        clm_admsn_dt,
        nch_bene_dschrg_dt,
        lag(nch_bene_dschrg_dt) OVER (PARTITION BY desynpuf_id ORDER BY clm_admsn_dt, clm_id) AS discharged_before
    FROM claims.inpatient
)
SELECT desynpuf_id, clm_id, discharged_before, clm_admsn_dt AS readmitted
FROM ordered
WHERE clm_admsn_dt >= discharged_before
  AND clm_admsn_dt <= discharged_before + INTERVAL '30' DAY
