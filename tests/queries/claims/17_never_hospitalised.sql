-- Diabetic beneficiaries of 2008 who were treated and never hospitalised.
SELECT b.desynpuf_id, b.bene_birth_dt, b.bene_death_dt, b.bene_county_cd
FROM claims.beneficiary b
WHERE b.bene_year = 2008
  AND CAST(b.sp_diabetes AS VARCHAR) = '1'
  AND EXISTS (SELECT 1 FROM claims.prescription r WHERE r.desynpuf_id = b.desynpuf_id)
  AND NOT EXISTS (SELECT 1 FROM claims.inpatient s WHERE s.desynpuf_id = b.desynpuf_id)
