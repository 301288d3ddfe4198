-- What NULL does: claims by whether their second and third diagnoses are known, equal or absent together.
SELECT
    icd9_dgns_cd_2 IS NULL AS second_absent,
    icd9_dgns_cd_2 IS NOT DISTINCT FROM icd9_dgns_cd_3 AS same,
    (icd9_dgns_cd_2 = icd9_dgns_cd_3) IS NULL AS unknown,
    coalesce(substr(icd9_dgns_cd_2, 1, 1), '-') AS chapter,
    count(*) AS claims,
    count(icd9_dgns_cd_3) AS third_known,
    max(icd9_dgns_cd_3) AS last_third,
    count(nullif(icd9_dgns_cd_1, '4019')) AS other_first
FROM claims.outpatient
GROUP BY 1, 2, 3, 4
