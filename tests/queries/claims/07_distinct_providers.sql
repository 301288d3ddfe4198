-- Distinct physicians and institutions by kind of claim, those without a number left out of the count.
SELECT
    'inpatient' AS setting,
    count(*) AS claims,
    count(at_physn_npi) AS with_physician,
    count(DISTINCT at_physn_npi) AS physicians,
    count(DISTINCT op_physn_npi) AS operating,
    count(DISTINCT prvdr_num) AS institutions
FROM claims.inpatient
UNION ALL
SELECT
    'outpatient', count(*), count(at_physn_npi), count(DISTINCT at_physn_npi), count(DISTINCT op_physn_npi),
    count(DISTINCT prvdr_num)
FROM claims.outpatient
