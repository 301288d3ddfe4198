-- A union of which one part joins nobody, and so is empty only once it was computed.
SELECT 'stays' AS part, substr(icd9_dgns_cd_1, 1, 1) AS grp, count(*) AS n
FROM claims.inpatient
GROUP BY 2
UNION ALL
SELECT 'nobody', CAST(b.bene_sex_ident_cd AS VARCHAR), count(*)
FROM claims.beneficiary b
LEFT JOIN claims.prescription p ON p.desynpuf_id = b.desynpuf_id
WHERE b.bene_year = 1900
GROUP BY 2
