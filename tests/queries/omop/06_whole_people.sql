-- Every column of every person, as it was published.
SELECT * FROM omop.person
